package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io/fs"
	"net/http"
	"path"
)

//go:embed assets
var embedded embed.FS

// assets are the files of the page, ready to be served.
type assets struct {
	templates *template.Template
	static    map[string]asset
}

// An asset is a file that pages load.
type asset struct {
	content []byte
	media   string
}

// types are the files that pages may load.
var types = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// newAssets reads what is part of the program; it panics when that is broken.
func newAssets() *assets {
	a := &assets{static: map[string]asset{}}
	version := sha256.New()
	files, err := fs.ReadDir(embedded, "assets")
	if err != nil {
		panic("web: " + err.Error())
	}
	for _, f := range files {
		content, err := embedded.ReadFile("assets/" + f.Name())
		if err != nil {
			panic("web: " + err.Error())
		}
		if media := types[path.Ext(f.Name())]; media != "" {
			a.static[f.Name()] = asset{content, media}
			version.Write(content)
		}
	}
	tag := hex.EncodeToString(version.Sum(nil)[:6])
	a.templates = template.Must(template.New("").Funcs(functions).Funcs(template.FuncMap{
		"shares": sharesOf,
		"asset":  func(name string) string { return "/static/" + name + "?" + tag },
	}).ParseFS(embedded, "assets/*.html"))
	return a
}

// static serves a file of the page. Its address has a digest of all of them, so
// browsers may keep it.
func (s *site) static(w http.ResponseWriter, r *http.Request) {
	f, ok := s.files.static[r.PathValue("file")]
	if !ok {
		s.nothing(w, r)
		return
	}
	w.Header().Set("Content-Type", f.media)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Write(f.content) // an error is the reader's
}
