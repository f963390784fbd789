// Writes units/completion/lares, bash's completion, from the tree of commands, so that no Node starts at a TAB. A test
// compares them.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Command } from 'commander';
import { createProgram } from '../daemons/lares/commandline.ts';
import { daemons } from '../daemons/lares/daemons.ts';
import type { Io } from '../lib/command.ts';

/** Flags of every daemon, lib/flags.ts, and what follows each. */
const daemonFlags = {
  '--conf': 'file',
  '--state': 'folder',
  '--listen': 'other',
  '--json': '',
  '--check': '',
  '--show-config': '',
  '--version': '',
  '--help': '',
};

interface Case {
  path: string;
  commands: string[];
  options: string[];
  /** What each positional argument is: `file`, `other`, or words to choose from; commas between, the last repeats. */
  positional: string;
  /** Option → `file`, `folder`, `other`, or words to choose from. */
  values: Map<string, string>;
}

export async function renderCompletion(): Promise<string> {
  const none = (): void => undefined;
  const io: Io = { out: none, err: none, exit: none, stdout: process.stdout };
  const cases = walk(await createProgram(io, {}), 'lares');
  const specs = cases.map(
    ({ path: at, commands, options, positional }) =>
      `        '${at}') commands='${commands.join(' ')}' options='${options.join(' ')}' positional='${positional}' ;;`,
  );
  const values = cases.flatMap(({ path: at, values }) =>
    [...values].map(([option, kind]) => `        '${at} ${option}') value='${kind}' ;;`),
  );
  return frame.replace('@SPECS@', () => specs.join('\n')).replace('@VALUES@', () => values.join('\n'));
}

function walk(command: Command, at: string): Case[] {
  const own = at === 'lares run' ? runCase(at) : caseOf(command, at);
  return [own, ...command.commands.flatMap((one) => walk(one, `${at} ${one.name()}`))];
}

function runCase(at: string): Case {
  const values = new Map(Object.entries(daemonFlags).filter(([, kind]) => kind !== ''));
  const positional = `${Object.keys(daemons).join(' ')},${Object.keys(daemonFlags).join(' ')}`;
  return { path: at, commands: [], options: Object.keys(daemonFlags), positional, values };
}

function caseOf(command: Command, at: string): Case {
  const options = command.options.flatMap(({ short, long }) =>
    [short, long].filter((flag) => flag !== undefined),
  );
  const values = command.options
    .filter((option) => option.required)
    .flatMap(({ short, long, flags, argChoices }) => {
      const kind = argChoices?.join(' ') ?? kindOf(/<([^>]*)>/.exec(flags)?.[1] ?? '');
      return [short, long].filter((flag) => flag !== undefined).map((flag): [string, string] => [flag, kind]);
    });
  return {
    path: at,
    commands: command.commands.map((one) => one.name()),
    options: [...options, '--help'],
    positional: command.registeredArguments.map((one) => kindOf(one.name())).join(','),
    values: new Map(values),
  };
}

function kindOf(name: string): string {
  if (['file', 'zone', 'key'].includes(name)) return 'file';
  return name === 'dir' ? 'folder' : 'other';
}

const frame = `# bash completion for lares(1), written by scripts/completion.ts. It starts no program.
_lares_spec() {
    commands='' options='' positional=''
    case $1 in
@SPECS@
    esac
}

_lares_value() {
    value=''
    case "$1 $2" in
@VALUES@
    esac
}

_lares_reply() {
    local kind=$1 word=$2
    case $kind in
        file | folder)
            compopt -o filenames 2>/dev/null
            if [[ $kind == file ]]; then mapfile -t COMPREPLY < <(compgen -f -- "$word")
            else mapfile -t COMPREPLY < <(compgen -d -- "$word"); fi
            ;;
        other) ;;
        *) mapfile -t COMPREPLY < <(compgen -W "$kind" -- "$word") ;;
    esac
}

_lares() {
    local word=\${COMP_WORDS[COMP_CWORD]} at=lares commands options positional value pending='' given=0 i kinds
    COMPREPLY=()
    _lares_spec "$at"
    for ((i = 1; i < COMP_CWORD; i++)); do
        local seen=\${COMP_WORDS[i]}
        # readline splits --option=value at the sign.
        [[ $seen == '=' ]] && continue
        if [[ -n $pending ]]; then
            pending=''
        elif [[ $seen == -* ]]; then
            _lares_value "$at" "$seen"
            pending=$value
        elif [[ " $commands " == *" $seen "* ]]; then
            at="$at $seen"
            _lares_spec "$at"
        else
            given=$((given + 1))
        fi
    done
    [[ $word == '=' ]] && word=''
    if [[ -n $pending ]]; then _lares_reply "$pending" "$word"
    elif [[ $word == -* ]]; then _lares_reply "$options" "$word"
    elif [[ -n $commands ]]; then _lares_reply "$commands" "$word"
    elif [[ -z $positional ]]; then _lares_reply "$options" "$word"
    else
        IFS=, read -ra kinds <<<"$positional"
        ((given < \${#kinds[@]})) || given=$((\${#kinds[@]} - 1))
        _lares_reply "\${kinds[given]}" "$word"
    fi
}

complete -F _lares lares
`;

if (process.argv[1] === import.meta.filename)
  writeFileSync(path.join(import.meta.dirname, '../units/completion/lares'), await renderCompletion());
