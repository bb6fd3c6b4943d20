import KVMTrace
import KVMTypes
import Testing

@testable import Stage2Replay

@Suite("What shows a reset")
struct VMResetsTests {
  private static let stop = VMStop(
    sequence: Sequence(7), time: Nanoseconds(70), cpu: CPUIndex(1), tid: ThreadID(10),
    place: ThreadPlace(windows: 3, notifiers: 0))

  /// A translation fault of a level, by a fetch unless `isFetch` is false.
  private func fault(level: UInt64, isFetch: Bool = true, pc: UInt64 = 0x8_0000) -> GuestFault {
    GuestFault(
      ipa: IPA(0x4000_0000), esr: ESR((isFetch ? 0x8200_0004 : 0x9200_0004) + level), far: GuestVA(pc),
      pc: GuestVA(pc))
  }

  private func level(
    _ resets: VMResets, _ fault: GuestFault, startLevel: TranslationLevel = .l0, wasRunning: Bool = false
  ) -> TranslationLevel? {
    resets.emptyLevel(at: fault, startLevel: startLevel, wasRunning: wasRunning)
  }

  @Test("A fetch whose walk stops in the first table shows that nothing is mapped")
  func firstTable() {
    let resets = VMResets()
    #expect(level(resets, fault(level: 0)) == .l0)
    #expect(level(resets, fault(level: 1)) == nil)
    #expect(level(resets, fault(level: 1), startLevel: .l1) == .l1)
    #expect(level(resets, fault(level: 0, isFetch: false)) == nil)
  }

  @Test("A walk shows it, too, that stops where the VM's very first one did, if that is known")
  func firstFault() {
    var resets = VMResets()
    resets.begin(with: fault(level: 2))
    #expect(level(resets, fault(level: 2)) == .l2)
    #expect(level(resets, fault(level: 2), wasRunning: true) == nil)
    #expect(level(resets, fault(level: 2, pc: 0x9_0000)) == nil)
    #expect(level(resets, fault(level: 1)) == nil)
  }

  @Test("A reset is dated by the stop before it, and a stop accounts for one")
  func found() {
    var resets = VMResets()
    resets.note(vcpus: 2)
    #expect(resets.found.isEmpty)
    resets.leaveRun(Self.stop)
    resets.note(vcpus: 2)
    #expect(resets.found == [VMReset(time: Nanoseconds(70), vcpus: 2)])
    #expect(resets.stop == nil)
  }
}
