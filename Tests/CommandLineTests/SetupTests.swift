import Foundation
import Testing

/// `tools/setup` on machines with and without a toolchain. All programs that it asks are made up.
@Suite("Setup")
struct SetupTests {
  /// A machine without Swift, whose apt has `$2` (nothing: none) of swiftlang once its lists are read, and whose
  /// package brings Swift `$3`; what apt-get was asked for is printed.
  private static let machine = """
    bin=$(mktemp -d)
    trap 'rm -rf "$bin"' EXIT
    for program in bash env dirname basename sed grep mktemp rm tail cat chmod dpkg; do
      ln -s "$(command -v "$program")" "$bin/$program"
    done
    make() { printf '#!/bin/bash\\n%s\\n' "$2" >"$bin/$1"; chmod +x "$bin/$1"; }
    make sudo '[[ $1 == -n ]] && shift; exec "$@"'
    make dpkg-query 'exit 1'
    make apt-cache 'echo "swiftlang:"; echo "  Installed: (none)"; [[ ! -f '$bin'/lists ]] || echo "  Candidate: '${2:-(none)}'"'
    make apt-get 'case "$*" in
      *update) : >'$bin'/lists ;;
      *) echo "asked for: ${*: -1}" >&3
        printf "#!/bin/bash\\necho Swift version '$3'\\n" >'$bin'/swift; chmod +x '$bin'/swift ;;
    esac'
    PATH=$bin
    exec 3>&1
    source "$1/tools/setup"
    need_swift 6 2
    echo ready
    """

  private static func run(package: String, brings: String) throws -> Tool.Outcome {
    try Tool.shell(machine, [Tool.root.path, package, brings])
  }

  @Test("Debian's toolchain is installed where none is there", arguments: ["6.2.3-1+b1", "6.10~rc1-1"])
  func installs(package: String) throws {
    let outcome = try Self.run(package: package, brings: "6.2.3")
    #expect(outcome.output == "asked for: swiftlang\nready\n" && outcome.status == 0, "\(outcome.errors)")
  }

  @Test("One that is too old, or none, is not", arguments: ["6.0.3-2", "5.6.2-2", ""])
  func tooOld(package: String) throws {
    let outcome = try Self.run(package: package, brings: "6.0.3")
    #expect(outcome.output.isEmpty && outcome.status == 69)
    #expect(outcome.errorLines.count == 1 && outcome.errors.contains("apt has none of 6.2 or newer"))
    #expect(outcome.errors.contains("swift.org"))
  }
}
