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
}
