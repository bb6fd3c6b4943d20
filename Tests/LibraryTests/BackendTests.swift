import KVMTypes
import Stage2Model
import Stage2Replay
import Testing

// [page]
/// The traditional MMU, with a count of what is mapped. It hands on all that a replay calls, so that nothing else changes.
struct CountingStage2: ~Copyable, Stage2Backend {
  private var inner: TraditionalStage2
  private(set) var maps = 0

  init(_ vm: VMToModel) { inner = vm.makeTraditional() }

  mutating func map(_ ipa: IPA, size: UInt64, pfn: PFN?, prot: Stage2Prot, vcpu: VCPUIndex) -> KernelResult {
    maps += 1
    return inner.map(ipa, size: size, pfn: pfn, prot: prot, vcpu: vcpu)
  }

  mutating func unmap(_ ipa: IPA, size: UInt64) -> KernelResult { inner.unmap(ipa, size: size) }
  mutating func wrprotect(_ ipa: IPA, size: UInt64) -> KernelResult { inner.wrprotect(ipa, size: size) }
  mutating func testClearYoung(_ ipa: IPA, size: UInt64, markOld: Bool) -> Bool {
    inner.testClearYoung(ipa, size: size, markOld: markOld)
  }
  mutating func relaxPerms(_ ipa: IPA, prot: Stage2Prot) -> KernelResult { inner.relaxPerms(ipa, prot: prot) }
  mutating func mkyoung(_ ipa: IPA) { inner.mkyoung(ipa) }
  mutating func walk(_ ipa: IPA) -> Stage2Walk { inner.walk(ipa) }
  // Without this, the pages of tables come out of empty caches; under pKVM no map succeeds.
  mutating func topUpMemcache(vcpu: VCPUIndex, pages: Int) { inner.topUpMemcache(vcpu: vcpu, pages: pages) }
  // Without this, the report has no memory.
  var accountedMemory: MemoryAccounting? { inner.accountedMemory }
  // Without these, nothing has a cost, and pages that wait for a grace period stay.
  var work: Stage2Work { mutating get { inner.work } }
  mutating func passGracePeriod() { inner.passGracePeriod() }
  mutating func flushRemoteTLBs(_ ipa: IPA, size: UInt64) { inner.flushRemoteTLBs(ipa, size: size) }
  mutating func prefetch(_ ipa: IPA) { inner.prefetch(ipa) }
}
// [end of page]

/// A backend of the library's, behind the seven functions that one must have, and nothing else.
private struct BareStage2<Inner: Stage2Backend & ~Copyable>: ~Copyable, Stage2Backend {
  private var inner: Inner

  init(_ inner: consuming Inner) { self.inner = inner }

  mutating func map(_ ipa: IPA, size: UInt64, pfn: PFN?, prot: Stage2Prot, vcpu: VCPUIndex) -> KernelResult {
    inner.map(ipa, size: size, pfn: pfn, prot: prot, vcpu: vcpu)
  }

  mutating func unmap(_ ipa: IPA, size: UInt64) -> KernelResult { inner.unmap(ipa, size: size) }
  mutating func wrprotect(_ ipa: IPA, size: UInt64) -> KernelResult { inner.wrprotect(ipa, size: size) }
  mutating func testClearYoung(_ ipa: IPA, size: UInt64, markOld: Bool) -> Bool {
    inner.testClearYoung(ipa, size: size, markOld: markOld)
  }
  mutating func relaxPerms(_ ipa: IPA, prot: Stage2Prot) -> KernelResult { inner.relaxPerms(ipa, prot: prot) }
  mutating func mkyoung(_ ipa: IPA) { inner.mkyoung(ipa) }
  mutating func walk(_ ipa: IPA) -> Stage2Walk { inner.walk(ipa) }
}

@Suite("A backend of somebody else's, around one of the library's")
struct BackendTests {
  private static func replay<Backend: Stage2Backend & ~Copyable>(
    _ path: Profile.Path = .traditional, backend: @escaping (VMToModel) -> Backend
  ) throws -> (operations: [Stage2Operation], result: ReplayResult) {
    var operations: [Stage2Operation] = []
    var request = ProfileRequest()
    request.path = path
    let result = try Replay.run(
      NewPages(count: 20), profile: request, options: ReplayOptions(),
      onOperation: { operations.append($0) }, backend: backend
    ).result
    return (operations, result)
  }

  @Test("One that hands on everything changes nothing")
  func wrapper() throws {
    let model = try Self.replay { $0.makeTraditional() }
    let wrapped = try Self.replay { CountingStage2($0) }
    #expect(wrapped.operations == model.operations && model.operations.count == 20)
    let bytes = model.result.vms.map(\.memory.totalBytes)
    #expect(wrapped.result.vms.map(\.memory.totalBytes) == bytes && bytes[0].live > 0)
    #expect(model.result.divergences.unexplained == 0)
  }

  @Test("One that has the required functions alone accounts for no memory, and under pKVM nothing is mapped")
  func bare() throws {
    let traditional = try Self.replay { BareStage2($0.makeTraditional()) }
    #expect(traditional.operations.map(\.result) == Array(repeating: 0, count: 20))
    let pkvm = try Self.replay(.pkvm) { BareStage2($0.makePKVM()) }
    #expect(pkvm.operations.map(\.result) == Array(repeating: KernelResult.noMemory.rawValue, count: 20))
    #expect([traditional, pkvm].allSatisfy { $0.result.vms[0].memory.totalBytes.live == 0 })
  }
}
