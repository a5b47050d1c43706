package websocket

var OffersDeflate = offersDeflate
