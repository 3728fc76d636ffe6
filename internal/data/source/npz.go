package source

import (
	"archive/zip"
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/gespann/gespann/internal/infile"
)

// openNPZ reads one array of an .npz file: a zip archive of .npy files. Without
// a name there must be only one.
func openNPZ(ctx context.Context, files infile.Files, path, name string) (*array, error) {
	f, err := files.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	a, err := decodeNPZ(f, f.Info().Size(), name, files.Room)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", strings.TrimSuffix(path+":"+name, ":"), err)
	}
	return a, nil
}

func decodeNPZ(r io.ReaderAt, size int64, name string, room func(int64) error) (*array, error) {
	in, content, err := npzMember(r, size, name)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	in.room = room
	return decodeNPY(in)
}

// npzMember opens one array of an archive. The caller closes its content.
func npzMember(r io.ReaderAt, size int64, name string) (*input, io.Closer, error) {
	archive, err := zip.NewReader(r, size)
	if err != nil {
		return nil, nil, err
	}
	entry, err := npzEntry(archive, name)
	if err != nil {
		return nil, nil, err
	}
	packed, unpacked := int64(entry.CompressedSize64), int64(entry.UncompressedSize64)
	if packed < 0 || packed > size || unpacked < 0 || unpacked > packed*maxDeflate {
		return nil, nil, fmt.Errorf("%s: archive of %d bytes claims %d bytes, packed in %d", clip(entry.Name), size,
			entry.UncompressedSize64, entry.CompressedSize64)
	}
	content, err := entry.Open()
	if err != nil {
		return nil, nil, err
	}
	return &input{
		Reader: bufio.NewReaderSize(content, chunk), name: entry.Name, size: unpacked, trust: unpacked,
	}, content, nil
}

func npzEntry(archive *zip.Reader, name string) (*zip.File, error) {
	var names []string
	for _, f := range archive.File {
		member := strings.TrimSuffix(f.Name, ".npy")
		if member == name || name == "" && len(archive.File) == 1 {
			return f, nil
		}
		if len(names) < 20 {
			names = append(names, clip(member))
		}
	}
	if name == "" {
		return nil, fmt.Errorf("%d arrays, want a name: file.npz:name, with one of %s",
			len(archive.File), strings.Join(names, ", "))
	}
	return nil, fmt.Errorf("no array %q, got %s", name, strings.Join(names, ", "))
}
