import KVMTrace
import KVMTypes
import Stage2Replay
import Testing

@testable import Reporting

/// How to go on, at the end of a page.
@Suite("The next command")
struct NextCommandsTests {
  private static let terminal = PageForm(terminal: 80, colour: .never, environment: [:])

  private static func report(_ name: String) throws -> ReplayReport {
    let trace = try TraceFile(path: Recordings.path(name))
    let (result, statistics) = try Replay.run(trace, profile: ProfileRequest(), options: ReplayOptions())
    return ReplayReport(trace, statistics, result)
  }

  @Test("Paths are quoted for a shell; what nobody can type is a FILE")
  func quoting() {
    #expect(NextCommands.quoted("traces/a-1.dat") == "traces/a-1.dat")
    #expect(NextCommands.quoted("a b.dat") == "'a b.dat'" && NextCommands.quoted("it's") == "'it'\\''s'")
    #expect(NextCommands.quoted("$(reboot)") == "'$(reboot)'" && NextCommands.quoted("-x") == "./-x")
    #expect(NextCommands.quoted("-") == "FILE" && NextCommands.quoted("a\u{1b}[2J") == "FILE")
  }

  @Test("By what is wrong first: divergences, losses, probes that are missing, then other verbs")
  func order() throws {
    var report = try Self.report("kvm-nvhe-7.2.12-page-table-thp")
    func next() -> String { ReplayReport.text([report], in: Self.terminal) }
    #expect(next().contains("\nnext: ") && next().contains("\n  pkvm-replay compare --profile auto"))
    #expect(!ReplayReport.text([report]).contains("next: "))
    report.inputs[0].lossCount = 1
    #expect(next().contains("\n  pkvm-replay replay --allow-loss "))
    report.divergences.items = [
      .init(
        rule: .allCases[0], verdict: .unexplained, exception: nil, timeNs: 9_300_000_000, cpu: 0, tid: 1,
        vm: 0,
        ipa: 0, expected: "", observed: "", basis: .recorded, count: 1, input: nil, state: nil,
        recentEvents: [])
    ]
    let rule = DivergenceRule.allCases[0].id
    #expect(next().contains("\n  pkvm-replay rules \(rule)\n"))
    #expect(next().contains("\n  pkvm-replay events --from 9.299000000 --to 9.301000000 "))
  }

  @Test("Rules are listed by their names, in either case")
  func rules() {
    let all = RuleList().text
    let first = DivergenceRule.allCases[0].id
    let one = RuleList([first.lowercased()])
    #expect(!one.isEmpty && one.text.hasPrefix("\(first): ") && one.text.count < all.count)
    #expect(one.names == [first] && RuleList().names.count > 30)
    #expect(RuleList(["D999"]).isEmpty && RuleList([]).text == all)
  }
}
