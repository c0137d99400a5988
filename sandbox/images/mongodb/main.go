// A stand-in for mongosh: the JavaScript of the chart's scripts, on the driver MongoDB's own tools are built with.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/dop251/goja"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
	"go.mongodb.org/mongo-driver/x/mongo/driver/connstring"
)

type shell struct{ engine *goja.Runtime }

func main() {
	for place, argument := range os.Args {
		if argument == "--file" {
			if err := run(os.Args[place+1]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
	}
}

func run(path string) error {
	s := shell{engine: goja.New()}
	environment := map[string]string{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		environment[name] = value
	}
	for name, value := range map[string]any{
		"process": map[string]any{"env": environment},
		"require": func(string) any { return map[string]any{"readFileSync": s.read} },
		"print":   func(value any) { fmt.Println(value) },
		"sleep":   func(milliseconds int) { time.Sleep(time.Duration(milliseconds) * time.Millisecond) },
		"connect": s.connect,
		"load":    s.load,
		"db":      nil,
	} {
		if err := s.engine.Set(name, value); err != nil {
			return err
		}
	}
	_, err := s.engine.RunString(string(s.text(path)))
	return err
}

func (s shell) text(path string) []byte {
	text, err := os.ReadFile(path)
	s.check(err)
	return text
}

func (s shell) read(path string, _ string) string { return string(s.text(path)) }

func (s shell) load(path string) { _, err := s.engine.RunString(s.read(path, "")); s.check(err) }

func (s shell) check(err error) {
	if err != nil {
		panic(s.engine.NewGoError(err))
	}
}

func (s shell) connect(uri string) goja.Value {
	parsed, err := connstring.ParseAndValidate(uri)
	s.check(err)
	asked := options.Client().ApplyURI(uri)
	if parsed.Username == "" {
		asked.SetAuth(options.Credential{AuthSource: "admin", Username: "nobody", Password: "nobody"})
	}
	client, err := mongo.Connect(context.Background(), asked)
	s.check(err)
	s.check(client.Ping(context.Background(), nil))
	return s.database(client, parsed.Database)
}

func (s shell) database(client *mongo.Client, name string) goja.Value {
	db := client.Database(name)
	known := map[string]any{
		"runCommand":   func(command goja.Value) goja.Value { return s.command(db, command) },
		"getSiblingDB": func(other string) goja.Value { return s.database(client, other) },
	}
	return s.engine.ToValue(s.engine.NewDynamicObject(collections{shell: s, db: db, known: known}))
}

// A replica set of one is what every server here is taken for, and of roles it knows nothing.
func (s shell) command(db *mongo.Database, command goja.Value) goja.Value {
	asked := command.ToObject(s.engine)
	if asked.Get("replSetInitiate") != nil {
		return s.engine.ToValue(map[string]any{"ok": 1})
	}
	if asked.Get("createUser") != nil {
		s.check(asked.Set("roles", []any{}))
	}
	var answer bson.M
	s.check(db.RunCommand(context.Background(), s.document(command)).Decode(&answer))
	text, err := bson.MarshalExtJSON(answer, false, false)
	s.check(err)
	value, err := s.engine.RunString("(" + string(text) + ")")
	s.check(err)
	return value
}

func (s shell) document(value goja.Value) bson.D {
	text, err := value.ToObject(s.engine).MarshalJSON()
	s.check(err)
	var document bson.D
	s.check(bson.UnmarshalExtJSON(text, false, &document))
	return document
}

// What `db` has by name: its methods, and every collection.
type collections struct {
	shell shell
	db    *mongo.Database
	known map[string]any
}

func (c collections) Get(name string) goja.Value {
	if method, ok := c.known[name]; ok {
		return c.shell.engine.ToValue(method)
	}
	return c.shell.engine.ToValue(map[string]any{
		"insertOne": func(document goja.Value) {
			_, err := c.db.Collection(name).InsertOne(context.Background(), c.shell.document(document))
			c.shell.check(err)
		},
	})
}

func (c collections) Set(string, goja.Value) bool { return false }
func (c collections) Has(string) bool             { return true }
func (c collections) Delete(string) bool          { return false }
func (c collections) Keys() []string              { return nil }
