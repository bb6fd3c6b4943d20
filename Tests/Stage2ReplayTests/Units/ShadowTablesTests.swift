import KVMTypes
import Testing

@testable import Stage2Replay

@Suite("Shadow stage-2 tables")
struct ShadowTablesTests {
  @Test("So many are known as KVM can have, however many come and go")
  func bounded() {
    var shadow = ShadowTables()
    func fault(_ number: Int) { _ = shadow.take(KernelAddress(UInt64(number) << 8), isOfNestedFault: true) }
    func isKnown(_ number: Int) -> Bool {
      shadow.take(KernelAddress(UInt64(number) << 8), isOfNestedFault: false)
    }
    for number in 0..<ShadowTables.tablesMax { fault(number) }
    // One that is known needs no room.
    fault(0)
    let before = [isKnown(0), isKnown(1)]
    #expect(before == [true, true])
    fault(ShadowTables.tablesMax)
    let after = [isKnown(0), isKnown(ShadowTables.tablesMax)]
    #expect(after == [false, true])
    // It comes back with its next fault.
    fault(0)
    let again = isKnown(0)
    #expect(again)
  }
}
