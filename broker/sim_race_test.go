//go:build race

package broker_test

const simSeeds = 200 // clusters that TestSimulation runs; with the race detector each takes five times as long
