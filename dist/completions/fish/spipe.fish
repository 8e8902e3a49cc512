complete -c spipe -s t -l target -d 'Connect to this address: /path, host:port, [ipv4]:port or [ipv6]:port; to a WebSocket: ws://host[:port]/path, wss://... or ws+unix://...' -r
complete -c spipe -s k -l key-file -d 'Read the shared key from this file, all of it; - means standard input' -r -F
complete -c spipe -s b -l bind -d 'Make connections to the target from this local address; the port may be left out [default: the system chooses]' -r
complete -c spipe -s o -l timeout -d 'Give up connecting, or a handshake, after this time, fractions allowed; 0 means the default' -r
complete -c spipe -l coalesce -d 'Let bytes that do not fill a packet wait this long for more, to save bandwidth' -r
complete -c spipe -l idle-timeout -d 'Reset a connection that has carried no byte either way for this time [default: never]' -r
complete -c spipe -l ack-timeout -d 'Give up a TCP connection if what was sent to either side stays unacknowledged or unread for this time; Linux only [default: when the system does]' -r
complete -c spipe -l proxy -d 'Reach the target through this proxy: http://, socks5:// or socks5h:// and host:port, with user:password@ before it if need be; none for no proxy [default: for WebSockets, what https_proxy, http_proxy, all_proxy and no_proxy say]' -r
complete -c spipe -l ws-ping -d 'Send a ping over each WebSocket this often, so that nobody on the way thinks it is dead when it is silent; 0 for never [default: 30]' -r
complete -c spipe -l http-header -d 'With -t ws:// or wss://: send this line, such as \'Name: value\', with the request; @FILE reads lines from a file. May be repeated' -r
complete -c spipe -l tls-ca -d 'With -t wss://: trust the authorities in this file of PEM certificates, and no others [default: those that the system trusts]' -r -F
complete -c spipe -l log-level -d 'Log messages of this level and worse: error, warn, info, debug or trace; beats the variable RUST_LOG [default: warn]' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c spipe -s f -l no-pfs -d 'Do without perfect forward secrecy: saves computing time, but whoever learns the key later can read what was recorded [default: use it unless the peer does without]'
complete -c spipe -s g -l require-pfs -d 'Refuse a peer that does without perfect forward secrecy [default: accept it]'
complete -c spipe -s j -l no-keepalive -d 'Do not send TCP keep-alives [default: send them]'
complete -c spipe -l no-sandbox -d 'Keep every right that the user has [default: once all is open, give up files, programs and other processes, as far as the system can do that]'
complete -c spipe -s v -l version -d 'Print the version (on standard error, as C spiped does) and exit'
complete -c spipe -s h -l help -d 'Print this help and exit'
complete -c spipe -l check -d 'Shake hands with the target, say in a line how that went, and exit with 0 if it went well; carry no data'
complete -c spipe -l progress -d 'Show bytes, rate and time on standard error, if that is a terminal [default: do not]'
