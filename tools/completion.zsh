#compdef dmabuf-rw
# SPDX-License-Identifier: MIT
#
# completion.zsh - completion of dmabuf-rw's commands, options and buffers, for zsh.
#
# The installed command's help is the only list of them. Only the words that some options take are
# listed here.

# _dmabuf_rw_action NAME TEXT - sets REPLY to the action of argument NAME for _arguments, with the
# words that occur in the help's TEXT.
_dmabuf_rw_action()
{
	local -a words
	local word

	case $1 in
	BUFFER) REPLY=_dmabuf_rw_buffers ;;
	FORMAT) words=(text json) ;;
	WAY) words=(module kernel bounce) ;;
	WHEN) words=(auto always never) ;;
	KIND) words=(read write randread randwrite) ;;
	SIZE|N|SECONDS|OFFSET*) REPLY=' ' ;;
	*) REPLY=_files ;;
	esac
	(( $#words )) || return 0
	REPLY=
	for word in $words; do
		[[ " $2 " != *[^a-z]${word}[^a-z]* ]] || REPLY+="$word "
	done
	REPLY="($REPLY)"
}

# The beginnings of buffer names on this machine.
_dmabuf_rw_buffers()
{
	local -a begins
	local line

	for line in ${(f)"$(_call_program buffers $service --help)"}; do
		[[ $line != '  '[a-z]##:* ]] || begins+=(${${line#  }%%:*}:)
	done
	for line in /sys/bus/pci/drivers/vfio-pci/*:*:*(N); do
		begins+=(vfio:${line:t}/)
	done
	for line in /dev/dma_heap/*(N); do
		begins+=(heap:${line:t}:)
	done
	compadd -S '' -- $begins
}

_dmabuf_rw_files_and_buffers()
{
	_dmabuf_rw_buffers
	_files
}

# _dmabuf_rw_specs HELP - sets specs to the options of a command's help, for _arguments.
_dmabuf_rw_specs()
{
	local line text name takes

	specs=('(- *)--help[list the options]')
	for line in ${(f)1}; do
		if [[ $line == usage:* ]]; then
			# Only this line has the mandatory options.
			while [[ $line == (#b)(*)' '(--[a-z-]##)' '([A-Z]##)* ]]; do
				_dmabuf_rw_action $match[3] ''
				specs+=("$match[2]=:$match[3]:$REPLY")
				line=$match[1]
			done
		elif [[ $line == (#b)'  '(-[a-z],\ |)(--[a-z-]##)(\ [A-Z:]##|)(*) ]]; then
			name=$match[2] takes=${match[3]# } text=${match[4]##[[:space:]]#}
			text=${text//[\[\]:]/ }
			if [[ -z $takes ]]; then
				specs+=("${name}[$text]")
			else
				_dmabuf_rw_action $takes $text
				specs+=("*${name}=[$text]:${takes//:/-}:$REPLY")
			fi
		fi
	done
}

_dmabuf_rw()
{
	setopt localoptions extendedglob
	local -a specs subcommands match mbegin mend
	local REPLY line curcontext=$curcontext state
	typeset -A opt_args

	_arguments -C '(- *)--help[say what there is]' '(- *)--version[name the release]' \
		'(-o --output)'{-o,--output}'[text or json]:format:(text json)' \
		'1:command:->command' '*::argument:->arguments'
	case $state in
	command)
		for line in ${(f)"$(_call_program commands $service --help)"}; do
			[[ $line != buffers:* ]] || break
			[[ $line != (#b)'  '([a-z-]##)\ ##(*) ]] || subcommands+=("$match[1]:$match[2]")
		done
		_describe command subcommands
		;;
	arguments)
		line=$words[1]
		_dmabuf_rw_specs "$(_call_program options $service $line --help)"
		if [[ $line == run ]]; then
			_arguments -S $specs '(-)1:program:_command_names -e' '*::argument:_normal'
		else
			_arguments -S $specs '*:file or buffer:_dmabuf_rw_files_and_buffers'
		fi
		;;
	esac
}

_dmabuf_rw "$@"
