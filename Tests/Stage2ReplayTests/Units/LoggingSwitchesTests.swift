import KVMTrace
import KVMTypes
import SeededRandom
import Testing

@testable import Stage2Replay

/// Which switch of its slot's logging a fault had in reach.
@Suite("Switches of dirty logging")
struct LoggingSwitchesTests {
  private static func fault(_ window: Range<UInt64>, base: UInt64) -> FaultWindow {
    let page = IPA(base << 12)
    var fault = FaultWindow(
      event: GuestFault(ipa: page, esr: ESR(0), far: GuestVA(0), pc: GuestVA(0)), page: page,
      access: FaultAccess(kind: .translation, level: .l3, isWrite: false, isExec: false, isStage1Walk: false),
      origin: FaultOrigin(
        cpu: CPUIndex(0), tid: ThreadID(1), vcpu: 0, place: ThreadPlace(windows: 0, notifiers: 0)),
      slot: Memslot(id: 0, base: GFN(base), pages: 8, hva: nil, flags: [], basis: .recorded),
      begin: Sequence(window.lowerBound))
    fault.end = Sequence(window.upperBound)
    return fault
  }

  @Test("The one switch that a fault had in reach is found among many of several VMs and slots")
  func position() throws {
    var random = SplitMix64(seed: 11)
    func draw(_ limit: UInt64) -> UInt64 { random.next() % limit }
    var switches = LoggingSwitches()
    var all: [LoggingSwitches.Switch] = []
    var lastCommit = [UInt64](repeating: 0, count: 3)
    var oldest: UInt64 = 0
    // By commit, of which there is one at a place.
    var ends: [Sequence: Sequence] = [:]
    for now in stride(from: UInt64(10), to: 4_000, by: 3) {
      let vm = Int(draw(3))
      // Between the VM's last commit and this one; now and then of one event with it.
      let since = draw(4) == 0 ? now : lastCommit[vm] + draw(now - lastCommit[vm])
      lastCommit[vm] = now
      oldest = max(oldest, now < 200 ? 0 : now - 200)
      let new = LoggingSwitches.Switch(
        vm: VMIndex(vm), base: GFN(draw(2) * 8), isOn: draw(2) == 0, since: Sequence(since),
        commit: Sequence(now))
      switches.insert(new, oldest: Sequence(oldest))
      all.append(new)
      let begin = now - min(draw(250), now)
      let fault = Self.fault(begin..<begin + 1 + draw(40), base: draw(2) * 8)
      let asked = VMIndex(Int(draw(3)))
      let inReach = all.filter {
        $0.commit >= Sequence(oldest) && $0.vm == asked && $0.base == fault.slot!.base
          && fault.begin < $0.commit && fault.end > $0.since
      }
      let position = switches.position(of: fault, asked)
      #expect((position != nil) == (inReach.count == 1))
      if let position {
        #expect(switches[position, asked].commit == inReach[0].commit)
        switches.noteEnd(of: fault, asked)
        let end = max(ends[inReach[0].commit] ?? inReach[0].commit, fault.end)
        ends[inReach[0].commit] = end
        #expect(switches[position, asked].lastEnd == end)
      }
    }
  }
}
