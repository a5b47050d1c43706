package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/carillonhq/carillon/broker"
)

var _ broker.Inspector = (*driver)(nil)

// Examine implements broker.Inspector.
func (d *driver) Examine(ctx context.Context, cluster string) []broker.Finding {
	found := d.examineRights(ctx, cluster)
	text, err := d.client.Info(ctx).Result()
	switch {
	case err == nil:
		info := parseInfo(text)
		found = append(found, info.version(), info.role(), info.memory(), info.persistence(), info.clients())
	case redis.HasErrorPrefix(err, "NOPERM"):
		found = append(found, broker.Finding{
			Check: "settings", Verdict: broker.Unknown,
			Text: "the version and the use of memory are not shown to this user, who needs +info for that and for nothing else",
		})
	default:
		found = append(found, broker.Finding{Check: "settings", Verdict: broker.Failed, Text: explain(d.addr, err).Error()})
	}
	// Whoever may not read it mostly has a server with the default, 0.
	if set, err := d.client.ConfigGet(ctx, "timeout").Result(); err == nil {
		found = append(found, idleTimeout(set["timeout"]))
	}
	return found
}

// examineRights tries every command that the driver uses.
func (d *driver) examineRights(ctx context.Context, cluster string) []broker.Finding {
	key := cluster + ".doctor." + strings.ToLower(rand.Text()[:8])
	c := d.client
	tries := []struct {
		right string
		try   func() error
	}{
		// First of all what makes the key expire, so that what is made is not
		// left behind; and it is left for the rest if it is not permitted.
		{"expire", func() error { return c.Expire(ctx, key, time.Minute).Err() }},
		{"xadd", func() error {
			return c.XAdd(ctx, &redis.XAddArgs{Stream: key, MaxLen: 1, Approx: true, Values: []any{field, "x"}}).Err()
		}},
		{"xread", func() error {
			return c.XRead(ctx, &redis.XReadArgs{Streams: []string{key, "0-0"}, Count: 1, Block: -1}).Err()
		}},
		{"xinfo|stream", func() error { return c.XInfoStream(ctx, key).Err() }},
	}
	var commands []string
	keys := false
	for _, t := range tries {
		err := t.try()
		switch {
		case err == nil, errors.Is(err, redis.Nil), strings.Contains(err.Error(), "no such key"):
			// An empty stream is an answer too.
		case !redis.HasErrorPrefix(err, "NOPERM"):
			return []broker.Finding{{Check: "permissions", Verdict: broker.Failed, Text: explain(d.addr, err).Error()}}
		case strings.Contains(err.Error(), "to run the"):
			commands = append(commands, t.right)
		default:
			keys = true
		}
	}
	if c.Expire(ctx, key, time.Minute).Err() != nil {
		_ = c.Del(ctx, key) // which may be forbidden as well
	}
	return []broker.Finding{rights(c, ctx, cluster, commands, keys)}
}

// rights is the verdict on a user that lacks these commands, or the keys.
func rights(c redis.UniversalClient, ctx context.Context, cluster string, commands []string, keys bool) broker.Finding {
	f := broker.Finding{Check: "permissions"}
	if len(commands) == 0 && !keys {
		f.Text = "this user may run xadd, xread, xinfo|stream and expire on " + cluster + ".*"
		return f
	}
	user, err := c.Do(ctx, "ACL", "WHOAMI").Text()
	if err != nil {
		user = "USER"
	}
	f.Verdict = broker.Failed
	f.Advice = "grant it: ACL SETUSER " + user
	var lacks []string
	if len(commands) > 0 {
		lacks = append(lacks, "run "+strings.Join(commands, ", "))
		f.Advice += " +" + strings.Join(commands, " +")
	}
	if keys {
		lacks = append(lacks, "use the keys "+cluster+".*")
		f.Advice += " ~" + cluster + ".*"
	}
	f.Text = "this user may not " + strings.Join(lacks, ", nor ")
	if !keys && len(commands) == 1 && commands[0] == "expire" {
		f.Verdict = broker.Doubtful
		f.Text += ": the streams of nodes that are gone stay for ever"
	}
	return f
}

// info is what Redis says of itself, by the names of its command INFO.
type info map[string]string

func parseInfo(text string) info {
	in := info{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			in[name] = value
		}
	}
	return in
}

func (in info) number(name string) int64 {
	n, _ := strconv.ParseInt(in[name], 10, 64)
	return n
}

// The oldest Redis that can work, and the oldest that is tested.
const (
	oldest    = "5.0"
	supported = "6.2"
)

func (in info) version() broker.Finding {
	name, v := "Redis", in["redis_version"]
	f := broker.Finding{Check: "version", Text: name + " " + v}
	if valkey := in["valkey_version"]; valkey != "" {
		f.Text = "Valkey " + valkey + ", which speaks as Redis " + v
	}
	switch {
	case v == "":
		f.Verdict, f.Text = broker.Unknown, "it does not say what it is"
	case older(v, oldest):
		f.Verdict, f.Advice = broker.Failed, "it has no streams as they are needed: use "+supported+" or later"
	case older(v, supported):
		f.Verdict, f.Advice = broker.Doubtful, "it may work, but "+supported+" is the oldest that is supported"
	}
	return f
}

// older reports whether version a is before b, by their first two numbers.
func older(a, b string) bool {
	var a1, a2, b1, b2 int
	fmt.Sscanf(a, "%d.%d", &a1, &a2)
	fmt.Sscanf(b, "%d.%d", &b1, &b2)
	return a1 < b1 || a1 == b1 && a2 < b2
}

func (in info) role() broker.Finding {
	f := broker.Finding{Check: "role", Text: "a primary with " + counted(in.number("connected_slaves"), "replica")}
	if in["role"] == "slave" {
		f.Verdict = broker.Failed
		f.Text = "a replica, which takes no messages"
		f.Advice = fmt.Sprintf("point the URL to its primary, %s:%s", in["master_host"], in["master_port"])
	}
	return f
}

func (in info) memory() broker.Finding {
	used, most, policy := in.number("used_memory"), in.number("maxmemory"), in["maxmemory_policy"]
	f := broker.Finding{Check: "memory"}
	if most == 0 {
		f.Text = mib(used) + " are used, without a maxmemory"
		return f
	}
	f.Text = fmt.Sprintf("%s of %s are used, maxmemory-policy is %s", mib(used), mib(most), policy)
	full := used > most/10*9
	switch {
	case policy != "noeviction":
		// All our keys expire, so those of volatile-* concern them too.
		f.Verdict = broker.Doubtful
		f.Text += ": when memory is short, Redis deletes streams, and what nodes had not read yet is lost"
		f.Advice = "set maxmemory-policy to noeviction, or use a Redis of the cluster's own"
	case full:
		f.Verdict = broker.Doubtful
		f.Text += ": when it is full, Redis takes no messages"
	}
	if full {
		raise := "raise maxmemory, or lower max_len"
		if f.Advice != "" {
			raise = f.Advice + "; and " + raise
		}
		f.Advice = raise
	}
	return f
}

func (in info) persistence() broker.Finding {
	f := broker.Finding{Check: "persistence", Text: "no append-only file, as is best: nothing here outlives the connections"}
	if in["aof_enabled"] == "1" {
		f.Text = "an append-only file is written, which Carillon does not need and which costs time"
	}
	if in["rdb_last_bgsave_status"] == "err" {
		f.Verdict = broker.Doubtful
		f.Text = "the last snapshot to the disk failed: Redis may take no messages until one succeeds"
		f.Advice = "free the disk, or turn saving off: CONFIG SET save \"\""
	}
	return f
}

// perNode is how many connections a node has at most: those for publishing,
// and two for each of its two topics.
const perNode = 16 + 4

func (in info) clients() broker.Finding {
	now, most := in.number("connected_clients"), in.number("maxclients")
	f := broker.Finding{Check: "connections", Text: fmt.Sprintf("%d of %d are in use, a node has up to %d", now, most, perNode)}
	if most == 0 { // Redis before 7.0 does not say it here
		f.Text = fmt.Sprintf("%d are in use, a node has up to %d", now, perNode)
	} else if most-now < 2*perNode {
		f.Verdict = broker.Doubtful
		f.Advice = "raise maxclients, and the open files that Redis may have"
	}
	return f
}

func idleTimeout(seconds string) broker.Finding {
	f := broker.Finding{Check: "timeout", Text: "idle connections stay"}
	n, err := strconv.Atoi(seconds)
	if err != nil || n == 0 {
		return f
	}
	f.Text = fmt.Sprintf("Redis closes connections that are idle for %ds", n)
	if n < 5 {
		f.Verdict = broker.Doubtful
		f.Advice = "set timeout to 0, or to 60 and more"
	}
	return f
}

func mib(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }

func counted(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
