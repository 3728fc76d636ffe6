package source

// A mirror is where a data set can be downloaded, and what its files are.
type mirror struct {
	url  string
	sums [4]string // SHA-256 of the .gz files, in the order of idxFiles
}

var mirrors = map[string]mirror{
	"mnist": {"https://storage.googleapis.com/cvdf-datasets/mnist/", [4]string{
		"440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
		"3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
		"8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
		"f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
	}},
	"fashion_mnist": {"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/", [4]string{
		"3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
		"a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
		"346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
		"67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
	}},
}

// fashionLabels are the classes of Fashion-MNIST: H. Xiao, K. Rasul and
// R. Vollgraf, 2017.
var fashionLabels = []string{
	"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
	"Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
}
