import Foundation
import Testing
import ToyBackend

/// The examples that the helps end with: what somebody copies first.
@Suite("Examples of the helps")
struct HelpExampleTests {
  /// A terminal of a line's usual length shows an example on one line.
  private static let columnsMax = 80

  /// What an example's files are, by the names that the helps use.
  private static let files = [
    "trace.dat": "pkvm-nvhe-7.3.4-guest-damon.dat", "before.dat": "pkvm-nvhe-6.19.14-page-table-thp.dat",
    "after.dat": "pkvm-nvhe-6.16.12-page-table-thp.dat", "a.dat": "kvm-nvhe-7.2.12-page-table-thp.dat",
    "b.dat": "kvm-vhe-7.3.4-page-table-thp.dat", "c.dat": "pkvm-nvhe-6.16.12-page-table-thp.dat",
    "d.dat": "pkvm-nvhe-7.3.4-page-table-thp.dat", "perf.data": "inputs/simultaneous/sim-perf.data.gz",
    "trace.perfetto-trace": "inputs/simultaneous/sim.perfetto-trace.gz",
    "trace.txt": "inputs/simultaneous/trace.txt.gz",
  ]

  /// The examples of a help, which stand in lines of their own below `Examples:`.
  private static func examples(_ arguments: [String]) throws -> [String] {
    let help = try Tool.shell("COLUMNS=400 \"$tool\" \"$@\"", arguments + ["--help"]).output
    let lines = help.split(separator: "\n", omittingEmptySubsequences: false)
    return lines.drop { $0.trimmingCharacters(in: .whitespaces) != "Examples:" }.dropFirst()
      .prefix { !$0.isEmpty }.map { $0.trimmingCharacters(in: .whitespaces) }
  }

  @Test("Every help has examples, and each of them works", arguments: [""] + UsageTests.verbs)
  func examples(verb: String) throws {
    let examples = try Self.examples(verb.isEmpty ? [] : [verb])
    #expect(!examples.isEmpty)
    let toy = try ToyBackend.build()
    defer { try? FileManager.default.removeItem(atPath: toy) }
    let links =
      Self.files.map { "ln -s \"$root/traces/\($1)\" \($0)" }.joined(separator: "\n")
      + "\nln -s \(toy) old.so; ln -s \(toy) new.so; export XDG_CACHE_HOME=$d/cache"
    for example in examples {
      #expect(example.hasPrefix("pkvm-replay \(verb)") && example.count + 2 <= Self.columnsMax, "\(example)")
      let outcome = try Tool.shell(
        """
        root=$1; d=$(mktemp -d); trap 'rm -rf "$d"' EXIT; cd "$d"
        \(links)
        pkvm-replay() { "$tool" "$@"; }
        \(example) >page; status=$?
        # Something was written, to standard output or to a file.
        [[ -n $(find . -type f -size +0) ]] && exit $status
        """, [Tool.root.path])
      #expect(outcome.status == 0, "\(example): \(outcome.errors)")
    }
  }
}
