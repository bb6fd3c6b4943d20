import Foundation
import KVMTrace
import KVMTypes
import Reporting
import Stage2Model
import Stage2Replay
import Testing

/// What a renderer outside the library sees of a report: this file imports it like anybody else.
@Suite("Reports as typed values")
struct TypedReportTests {
  private static func report() throws -> ReplayReport {
    let trace = try TraceFile(path: Recordings.path("pkvm-nvhe-7.3.4-two-guests"))
    let (result, statistics) = try Replay.run(trace, profile: ProfileRequest(), options: ReplayOptions())
    return ReplayReport(trace, statistics, result)
  }

  @Test("A renderer of one's own needs no string to be compared, and says what JSON says")
  func renderer() throws {
    let report = try Self.report()
    let object = try #require(
      JSONSerialization.jsonObject(with: Data(JSON.text(report).utf8)) as? [String: Any])
    #expect(report.profile[.path] == .word("pkvm") && report.profileBasis[.path] == .derived)
    let profile = try #require(object["profile"] as? [String: Any])
    #expect(profile["path"] as? String == "pkvm" && profile["name"] as? String == report.profile.name)
    #expect(Set(profile.keys) == Set(ProfileField.ID.allCases.map(\.word) + ["name"]))

    let vm = try #require(report.vms.first)
    let json = try #require((object["vms"] as? [[String: Any]])?.first)
    let operations = try #require(json["operations"] as? [String: [String: Any]])
    #expect(vm.operations.count == operations.count && vm.operations[.map] != nil)
    for (kind, entry) in vm.operations {
      let bases = try #require(operations[kind.word]?["basis"] as? [String: Int])
      #expect(bases == ["derived": entry.basis[.derived], "assumed": entry.basis[.assumed]])
    }
    #expect((json["hypercalls"] as? [String: Int])?["share_guest"] == vm.hypercalls?[.hostShareGuest])
    #expect((json["memory"] as? [String: Any])?["basis"] as? String == vm.memory.basis?.word)
    let held = try #require(vm.lock?.byOperation[.map])
    let lock = try #require((json["lock"] as? [String: Any])?["byOperation"] as? [String: [String: Any]])
    #expect(lock["map"]?["mode"] as? String == "write" && held.mode == .write)
    #expect(lock["map"]?["p99Ns"] as? UInt64 == held.p99Ns)
  }

  @Test("Every value of a type has a word of its own")
  func words() {
    func check<Value: ReportWord>(_: Value.Type) {
      #expect(Set(Value.allCases.map(\.word)).count == Value.allCases.count, "\(Value.self)")
    }
    check(Basis.self)
    check(OperationKind.self)
    check(LockMode.self)
    check(Hypercall.self)
    check(NoOperationReason.self)
    check(ProfileField.ID.self)
    check(Profile.FaultLock.self)
    check(DivergenceRule.self)
    check(DivergenceException.self)
    check(DivergenceVerdict.self)
    check(MarkerFigure.Kind.self)
    check(MarkerFigure.Verdict.self)
    check(MarkerDoubt.self)
    check(RegionEvent.Kind.self)
    check(RegionEvent.Access.self)
    check(RegionEvent.Effect.self)
  }
}
