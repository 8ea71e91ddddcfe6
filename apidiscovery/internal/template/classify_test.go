package template

import (
	"testing"

	"github.com/stretchr/testify/require"

	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

const literal = inventoryv1.ValueType_VALUE_TYPE_UNSPECIFIED

func TestClassify(t *testing.T) {
	t.Parallel()
	for segment, want := range map[string]inventoryv1.ValueType{
		"0": inventoryv1.ValueType_VALUE_TYPE_INT32, "42": inventoryv1.ValueType_VALUE_TYPE_INT32, "-7": inventoryv1.ValueType_VALUE_TYPE_INT32,
		"2147483648":                               inventoryv1.ValueType_VALUE_TYPE_INT64,
		"92233720368547758089":                     inventoryv1.ValueType_VALUE_TYPE_BIG_INTEGER,
		"0042":                                     inventoryv1.ValueType_VALUE_TYPE_STRING,
		"3f2504e0-4f89-41d3-9a0c-0305e82c3301":     inventoryv1.ValueType_VALUE_TYPE_UUID,
		"3F2504E0-4F89-41D3-9A0C-0305E82C3301":     inventoryv1.ValueType_VALUE_TYPE_UUID,
		"01ARZ3NDEKTSV4RRFFQ69G5FAV":               inventoryv1.ValueType_VALUE_TYPE_ULID,
		"507f1f77bcf86cd799439011":                 inventoryv1.ValueType_VALUE_TYPE_OBJECT_ID,
		"deadbeef42":                               inventoryv1.ValueType_VALUE_TYPE_HEX,
		"da39a3ee5e6b4b0d3255bfef95601890afd80709": inventoryv1.ValueType_VALUE_TYPE_HEX,
		"2026-11-22":                               inventoryv1.ValueType_VALUE_TYPE_DATE,
		"2026-11-22T10:00:00Z":                     inventoryv1.ValueType_VALUE_TYPE_DATE_TIME,
		"ada@example.org":                          inventoryv1.ValueType_VALUE_TYPE_EMAIL,
		"10.1.2.3":                                 inventoryv1.ValueType_VALUE_TYPE_IPV4,
		"2001:db8::1":                              inventoryv1.ValueType_VALUE_TYPE_IPV6,
		"ord_9aXk2":                                inventoryv1.ValueType_VALUE_TYPE_PREFIXED_ID,
		"cus_NffrFeUfNV2Hib":                       inventoryv1.ValueType_VALUE_TYPE_PREFIXED_ID,
		"sk_live_4eC39HqLyjWDarjt":                 inventoryv1.ValueType_VALUE_TYPE_PREFIXED_ID,
		"user_4711":                                inventoryv1.ValueType_VALUE_TYPE_PREFIXED_ID,
		"PROJ-123":                                 inventoryv1.ValueType_VALUE_TYPE_PREFIXED_ID,
		"invoice-204711":                           inventoryv1.ValueType_VALUE_TYPE_PREFIXED_ID,
		"dQw4w9WgXcQ":                              inventoryv1.ValueType_VALUE_TYPE_BASE64,
		"V1StGXR8_Z5jdHi6B-myT":                    inventoryv1.ValueType_VALUE_TYPE_BASE64,
		"cjld2cjxh0000qzrmn831i7rn":                inventoryv1.ValueType_VALUE_TYPE_BASE64,
		"eyJhbGciOiJIUzI1NiJ9.eyJzIjoxfQ.x":        inventoryv1.ValueType_VALUE_TYPE_JWT,

		"": literal, "products": literal, "v1": literal, "v2.1": literal, "v1beta1": literal, "1.0": literal, "2.3.1": literal,
		"api": literal, "terms": literal, "order-items": literal, "get_userPreferences": literal, "get_oauth2": literal, "step_1": literal,
		"report.pdf": literal, "123.json": literal, "app.3f2a1b9c.js": literal, "example.com": literal, "userPreferences": literal,
		"OAuth2Callback": literal, "iphone-15-pro-max": literal, "summer-2024": literal, "red-union-jack-rug-2024-sale": literal,
		"My-Product-Name-2024-Sale": literal, "deadbeef": literal, "facade": literal, "oauth2": literal, "sha_256x": literal,
		"en-GB": literal, "com.example.Shop": literal, "getProductsByCategoryAndPrice": literal, "mp3player2000": literal, "2fa": literal,
		"get_top10products": literal, "alice": literal, "iphone15promax256gbblack": literal, "ALLPRODUCTS": literal, "me": literal,
	} {
		t.Run(segment, func(t *testing.T) {
			t.Parallel()
			got, is := Classify(segment, false)
			if want == literal {
				require.False(t, is, "taken for a value of type %s", got)
				return
			}
			require.True(t, is, "taken for a literal")
			require.Equal(t, want, got)
		})
	}
}

func TestADateAtTheStartIsAVersion(t *testing.T) {
	t.Parallel()
	_, is := Classify("2015-03-31", true)
	require.False(t, is)
}
