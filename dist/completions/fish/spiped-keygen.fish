complete -c spiped-keygen -l from-yaml -d 'Take the key from this key.yaml of wormhole, instead of making one; - means standard input' -r -F
complete -c spiped-keygen -l fingerprint -d 'Print the fingerprint of the key in FILE, and make none'
complete -c spiped-keygen -s v -l version -d 'Print the version (on standard error, as spiped does) and exit'
complete -c spiped-keygen -s h -l help -d 'Print this help and exit'
