FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /carillon ./cmd/carillon

# The binary is static: all it needs beside itself are the authorities by which
# it trusts a broker's certificate.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /carillon /carillon
USER 65532:65532
EXPOSE 3000
ENTRYPOINT ["/carillon"]
CMD ["serve"]
