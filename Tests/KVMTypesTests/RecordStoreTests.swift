import Testing

@testable import KVMTypes

@Suite("Records by position")
struct RecordStoreTests {
  private final class Token {}

  @Test("Records stay what they are while the store grows, and are given back with it")
  func growth() {
    weak var first: Token?
    do {
      var store = RecordStore<(number: Int, token: Token)>()
      for number in 0..<100 { store.append((number, Token())) }
      first = store[0].token
      store[40].number = -40
      #expect(store.count == 100)
      #expect((0..<100).allSatisfy { store[$0].number == ($0 == 40 ? -40 : $0) })
      #expect(first != nil)
    }
    #expect(first == nil)
  }

  /// Something that is not copied, and has a store of others of that kind.
  private struct Owner<Record: ~Copyable>: ~Copyable {
    var records = RecordStore<Record>()
    var counts: [4 of Int] = .init(repeating: 0)
  }

  private struct Owned: ~Copyable { let token: Token }

  @Test("Records go with whatever has the store")
  func owned() {
    weak var last: Token?
    do {
      let token = Token()
      last = token
      var owner = Owner<Owner<Owned>>()
      var inner = Owner<Owned>()
      inner.records.append(Owned(token: token))
      owner.records.append(inner)
      #expect(owner.records.count == 1)
    }
    #expect(last == nil)
  }
}
