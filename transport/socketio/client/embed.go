//go:build ignore

// Embed makes the files of this folder from the dist folder of the npm package
// socket.io-client: each bundle and source map compressed by gzip, the
// package's licence, and SHA256SUMS of the files as they are in the package.
//
//	npm install socket.io-client@4.8.4 (in another folder)
//	SOCKETIO_CLIENT=that/folder/node_modules/socket.io-client go generate ./transport/socketio
package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"log"
	"os"
	"path/filepath"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 || os.Args[1] == "" {
		log.Fatal("usage: go run embed.go PACKAGE FOLDER")
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func run(pkg, folder string) error {
	files, err := filepath.Glob(filepath.Join(pkg, "dist", "socket.io.*"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no bundles in %s: %w", pkg, err)
	}
	var sums bytes.Buffer
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		name := filepath.Base(file)
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(data), name)
		var b bytes.Buffer
		w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
		if err != nil {
			return err
		}
		w.Write(data) // to memory
		if err := w.Close(); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, name+".gz"), b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	licence, err := os.ReadFile(filepath.Join(pkg, "LICENSE"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "LICENSE"), licence, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "SHA256SUMS"), sums.Bytes(), 0o644)
}
