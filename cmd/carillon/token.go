package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/carillonhq/carillon/cmd/carillon/internal/auth"
)

const tokenUsage = `Usage: carillon token [flags] USER

Prints a token with which a client can connect as USER to a node whose auth.mode
is jwt, to try it. The settings below auth.jwt come from the file and from the
environment, as for carillon serve.

Flags:
  --config FILE      read settings from this YAML file
  --ttl DURATION     how long the token counts, 0 for ever        (1h)
  --algorithm NAME   sign with this algorithm                     (the first of auth.jwt.algorithms)
  --key FILE         sign with the private key in this PEM file   (auth.jwt.secret, for HS)
  --kid ID           name the key in the token
  --device NAME      the claim device
  --namespaces LIST  the claim namespaces: patterns, with commas
  --rooms LIST       the claim rooms: patterns, with commas
  --can LIST         the claim can: message, broadcast, presence
  --claim NAME=JSON  any other claim; may be given again
  --help             print this text

The client sends it as auth.token:
  io(url, { auth: { token: "…" } })
`

// printToken is the command token.
func printToken(args, environ []string, stdout, stderr io.Writer) int {
	flags := pflag.NewFlagSet("token", pflag.ContinueOnError)
	flags.SetOutput(io.Discard) // what it would print, misuse says in one line
	flags.Usage = func() {}
	file := flags.String("config", "", "")
	ttl := flags.Duration("ttl", time.Hour, "")
	algorithm := flags.String("algorithm", "", "")
	keyFile := flags.String("key", "", "")
	kid := flags.String("kid", "", "")
	var grants auth.Grants
	flags.StringVar(&grants.Device, "device", "", "")
	flags.StringSliceVar(&grants.Namespaces, "namespaces", nil, "")
	flags.StringSliceVar(&grants.Rooms, "rooms", nil, "")
	flags.StringSliceVar(&grants.Can, "can", nil, "")
	more := flags.StringArray("claim", nil, "")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprint(stdout, tokenUsage)
		return exitOK
	case err != nil:
		return misuse(stderr, err.Error(), "carillon token --help")
	case flags.NArg() != 1:
		return misuse(stderr, fmt.Sprintf("token needs the name of one user, and got %d", flags.NArg()), "carillon token --help")
	case *ttl < 0:
		return misuse(stderr, "--ttl: a token that has expired already is of no use", "carillon token --help")
	}
	user := flags.Arg(0)
	if err := auth.CheckName("USER", user); err != nil {
		return misuse(stderr, err.Message, "carillon token --help")
	}

	cfg, err := loadConfig(*file, environ, nil)
	if err != nil {
		fmt.Fprintf(stderr, "carillon: no token, because of the configuration:\n%v\n", err)
		return exitFailed
	}
	minted, err := mint(cfg.Auth.JWT, user, *ttl, *algorithm, *keyFile, *kid, grants, *more)
	if err != nil {
		fmt.Fprintf(stderr, "carillon: %v\n", err)
		return exitFailed
	}
	fmt.Fprintln(stdout, minted)
	return exitOK
}

func mint(cfg AuthJWT, user string, ttl time.Duration, algorithm, keyFile, kid string, grants auth.Grants, more []string) (string, error) {
	algorithm = cmp.Or(algorithm, first(cfg.Algorithms))
	if algorithm == "" {
		return "", errors.New("which algorithm? set auth.jwt.algorithms, or give --algorithm")
	}
	if !slices.Contains(auth.Algorithms(), algorithm) {
		return "", fmt.Errorf("unknown algorithm %q: expected one of %s", algorithm, strings.Join(auth.Algorithms(), ", "))
	}
	var key []byte
	if strings.HasPrefix(algorithm, "HS") {
		if key = []byte(cfg.Secret); len(key) == 0 {
			return "", fmt.Errorf("%s needs a secret: set auth.jwt.secret", algorithm)
		}
	} else {
		if keyFile == "" {
			return "", fmt.Errorf("%s needs a private key: give --key FILE", algorithm)
		}
		var err error
		if key, err = os.ReadFile(keyFile); err != nil {
			return "", fmt.Errorf("--key: %w", err)
		}
	}
	signer, err := auth.NewSigner(algorithm, kid, key)
	if err != nil {
		return "", err
	}
	claims, err := claimsOf(cfg, grants)
	if err != nil {
		return "", err
	}
	for _, c := range more {
		name, text, ok := strings.Cut(c, "=")
		var value any
		if !ok || json.Unmarshal([]byte(text), &value) != nil {
			return "", fmt.Errorf("--claim: expected NAME=JSON, got %q (a text is written in quotes)", c)
		}
		claims[name] = value
	}
	return signer.Mint(user, ttl, claims)
}

// claimsOf has what cfg asks of tokens, and grants where cfg says they are.
func claimsOf(cfg AuthJWT, grants auth.Grants) (map[string]any, error) {
	claims := map[string]any{}
	if cfg.Issuer != "" {
		claims["iss"] = cfg.Issuer
	}
	if len(cfg.Audience) > 0 {
		claims["aud"] = cfg.Audience[0]
	}
	text, err := json.Marshal(grants)
	if err != nil {
		return nil, err
	}
	if cfg.Claim != "" {
		claims[cfg.Claim] = json.RawMessage(text)
		return claims, nil
	}
	return claims, json.Unmarshal(text, &claims)
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
