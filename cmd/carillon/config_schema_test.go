package main

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode"

	yamlnode "go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "rewrite what is generated")

// Every key has the text that stands above its field in the Config struct.
func TestDescriptions(t *testing.T) {
	d := describer{docs: map[string]map[string]string{}, keys: map[string]string{}}
	files, err := filepath.Glob("config*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.go") {
			d.read(t, file)
		}
	}
	d.name("", reflect.TypeFor[Config]())
	d.write("", reflect.TypeFor[Config]())
	if *update {
		if err := os.WriteFile("config_schema.txt", []byte(d.out.String()), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got := strings.ReplaceAll(descriptions, "\r\n", "\n"); got != d.out.String() {
		t.Error("config_schema.txt is not what the comments say: go test ./cmd/carillon -run TestDescriptions -update")
	}
	for _, f := range newSchema().fields {
		if described()[f.key] == "" {
			t.Errorf("%s: no comment", f.key)
		}
	}
}

// A describer turns the comments of the Config struct into words of the file.
type describer struct {
	docs map[string]map[string]string // type → field → comment
	keys map[string]string            // "Server.MaxPayload" → "server.max_payload"
	out  strings.Builder
}

func (d *describer) read(t *testing.T, file string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, decl := range parsed.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.TYPE {
			continue
		}
		for _, spec := range gen.Specs {
			typ := spec.(*ast.TypeSpec)
			st, ok := typ.Type.(*ast.StructType)
			if !ok {
				continue
			}
			fields := map[string]string{"": gen.Doc.Text()}
			last := ""
			for _, f := range st.Fields.List {
				if f.Doc != nil {
					last = f.Doc.Text() // of those that follow, too
				}
				for _, name := range f.Names {
					fields[name.Name] = last
				}
			}
			d.docs[typ.Name.Name] = fields
		}
	}
}

// name gathers the key of every field.
func (d *describer) name(prefix string, typ reflect.Type) {
	for f := range typ.Fields() {
		key := joinKey(prefix, f.Tag.Get("koanf"))
		d.keys[typ.Name()+"."+f.Name] = key
		if f.Type.Kind() == reflect.Struct {
			d.name(key, f.Type)
		}
	}
}

// write writes the text of every section and key, in the order of the struct.
func (d *describer) write(prefix string, typ reflect.Type) {
	for f := range typ.Fields() {
		key := joinKey(prefix, f.Tag.Get("koanf"))
		text := d.docs[typ.Name()][f.Name]
		if f.Type.Kind() == reflect.Struct {
			text = d.docs[f.Type.Name()][""]
			d.out.WriteString(key + "\n  " + d.words(f.Type, f.Type.Name(), lastName(key), text) + "\n")
			d.write(key, f.Type)
			continue
		}
		d.out.WriteString(key + "\n  " + d.words(typ, f.Name, lastName(key), text) + "\n")
	}
}

// words is a comment with keys in the place of Go's names.
func (d *describer) words(typ reflect.Type, name, key, text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if rest, ok := strings.CutPrefix(text, name+" "); ok {
		text = key + " " + rest
	}
	return regexp.MustCompile(`\b[A-Z]\w*(\.[A-Z]\w*)?\b`).ReplaceAllStringFunc(text, func(word string) string {
		if full, ok := d.keys[word]; ok {
			return full
		}
		// A word of the language begins with a capital too, and has no second.
		if own, ok := d.keys[typ.Name()+"."+word]; ok && strings.ContainsFunc(word[1:], unicode.IsUpper) {
			return lastName(own)
		}
		return word
	})
}

// The schema knows every key that a file of configs has, and no other.
func TestSchema(t *testing.T) {
	root := jsonSchema()
	files, err := filepath.Glob("../../configs/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var content map[string]any
		if err := yamlnode.Unmarshal(data, &content); err != nil {
			t.Fatal(err)
		}
		covered(t, file, root, content)
	}
	for _, f := range newSchema().fields {
		at := root
		for name := range strings.SplitSeq(f.key, ".") {
			at, _ = at["properties"].(map[string]any)[name].(map[string]any)
		}
		if at["description"] == "" || at["type"] == nil {
			t.Errorf("%s: got %v", f.key, at)
		}
		p, ok := at["pattern"].(string)
		if text, isText := at["default"].(string); ok && isText && !regexp.MustCompile(p).MatchString(text) {
			t.Errorf("%s: the default %q does not match %s", f.key, text, p)
		}
	}
}

func covered(t *testing.T, place string, section map[string]any, content map[string]any) {
	t.Helper()
	for name, value := range content {
		at, ok := section["properties"].(map[string]any)[name].(map[string]any)
		if !ok {
			t.Errorf("%s: %s is not in the schema", place, name)
			continue
		}
		if inner, ok := value.(map[string]any); ok {
			covered(t, place+": "+name, at, inner)
		}
	}
}
