package coraza

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"strconv"
	"strings"
	"sync"

	"github.com/corazawaf/coraza/v3/experimental/plugins"
	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"
)

// multipartName is the parser that setup.conf names. It holds the word MULTIPART, which the rule set looks for.
const multipartName = "memorymultipart"

// registerMultipart makes the parser known. Coraza keeps its parsers in a table of the process, so it is done once.
var registerMultipart = sync.OnceFunc(func() {
	plugins.RegisterBodyProcessor(multipartName, func() plugintypes.BodyProcessor { return memoryMultipart{} })
})

// memoryMultipart reads form-data as Coraza's own parser does, except that it writes no file: Coraza puts each upload into a
// temporary file, and values of mirrored requests must never be on a disk. No rule reads what is in the files.
type memoryMultipart struct{}

func (memoryMultipart) ProcessResponse(io.Reader, plugintypes.TransactionVariables, plugintypes.BodyProcessorOptions) error {
	return nil
}

func (memoryMultipart) ProcessRequest(body io.Reader, v plugintypes.TransactionVariables, o plugintypes.BodyProcessorOptions) error {
	_, params, err := mime.ParseMediaType(o.Mime)
	if err != nil {
		return fmt.Errorf("media type: %w", err)
	}
	reader := multipart.NewReader(body, params["boundary"])
	for n := 0; o.ArgumentLimit <= 0 || n < o.ArgumentLimit; n++ {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("next part: %w", err)
		}
		if err := readPart(part, v); err != nil {
			return err
		}
	}
	return nil
}

func readPart(part *multipart.Part, v plugintypes.TransactionVariables) error {
	name := part.FormName()
	for key, values := range part.Header {
		for _, value := range values {
			v.MultipartPartHeaders().Add(name, key+": "+value)
		}
	}
	v.MultipartName().Add(name, name)
	files := fileNames(part.Header.Get("Content-Disposition"))
	if len(files) == 0 {
		data, err := io.ReadAll(part)
		// A field that the capture cut short is judged as far as it goes.
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("reading a field: %w", err)
		}
		v.ArgsPost().Add(name, string(data))
		return nil
	}
	size, err := io.Copy(io.Discard, part)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("reading a file: %w", err)
	}
	for _, file := range files {
		v.Files().Add("", file)
		v.FilesSizes().SetIndex(file, 0, strconv.FormatInt(size, 10))
		v.MultipartFilename().Add(name, file)
	}
	v.FilesNames().Add("", name)
	return nil
}

// fileNames gives every name that a server may read: the one of "filename*", decoded, and the plain one.
func fileNames(disposition string) []string {
	_, params, err := mime.ParseMediaType(disposition)
	var out []string
	if err == nil && params["filename"] != "" {
		out = append(out, params["filename"])
	}
	// The library lets "filename*" win; what stands in the plain one may be what the server uses.
	for field := range strings.SplitSeq(disposition, ";") {
		key, value, ok := strings.Cut(field, "=")
		value = strings.Trim(strings.TrimSpace(value), `"`)
		if ok && strings.EqualFold(strings.TrimSpace(key), "filename") && value != "" && (len(out) == 0 || strings.Contains(disposition, "*=")) && value != firstOf(out) {
			out = append(out, value)
		}
	}
	return out
}

func firstOf(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
