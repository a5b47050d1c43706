//go:build !race

package broker_test

const simSeeds = 1500 // clusters that TestSimulation runs
