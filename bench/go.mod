module github.com/seed-cb702d51/tfork-go/bench

go 1.26.0

require (
	github.com/seed-cb702d51/tfork-go v0.0.0
	github.com/valyala/fasthttp v1.77.0
)

require (
	github.com/coreos/go-systemd/v22 v22.7.0 // indirect
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/molecule-man/go-brrr v1.3.0 // indirect
	github.com/pelletier/go-toml/v2 v2.4.3 // indirect
	github.com/valyala/bytebufferpool v1.0.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/seed-cb702d51/tfork-go => ../
