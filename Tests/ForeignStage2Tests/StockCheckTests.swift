import ForeignStage2
import Foundation
import KVMTypes
import Stage2Model
import Testing
import ToyBackend

/// Random calls on the toy and on the model, which must be alike, and must not be where the toy does something else.
@Suite("Stock check")
struct StockCheckTests {
  private func mismatch(_ macros: String) throws -> StockMismatch? {
    let path = try macros.isEmpty ? ToyBackend.build() : ToyBackend.build(macros)
    defer { try? FileManager.default.removeItem(atPath: path) }
    let library = try BackendLibrary(path: path)
    do {
      try StockCheck(library, era: .v7_3).run(calls: 40_000, seed: 1)
      return nil
    } catch {
      return error
    }
  }

  @Test("The toy is what the model is")
  func alike() throws {
    let found = try mismatch("")
    #expect(found == nil, "\(found?.description ?? "")")
  }

  @Test(
    "What differs is found, with few calls that show it",
    arguments: [
      (
        "TOY_LEAVES_OLD=1", 2,
        "a walk of 0x[0-9a-f]+ finds leaf of level 3, R?W?X?, old, and the model's leaf of level 3, R?W?X?, young"
      ),
      ("TOY_BATCHES=1", 5, "at the end of the VM: 1 calls of unshare_guest so far, not 2 as the model"),
      ("TOY_PANIC_AT=3", 6, "the kernel stops: toy-backend.c:[0-9]+: the n-th map"),
      ("TOY_REFUSES=1", 2, ".*: cannot make a VM: it does not want to"),
    ])
  func different(macros: String, most: Int, words: String) throws {
    let found = try #require(try mismatch(macros))
    #expect(found.calls.count <= most, "\(found)")
    #expect(found.what.range(of: "^\(words)$", options: .regularExpression) != nil, "\(found.what)")
    guard case .success(let calls) = Reproducer.calls(in: String(found.description.drop { $0 != "#" })) else {
      Issue.record("the calls cannot be read again: \(found)")
      return
    }
    #expect(calls.count == found.calls.count + 1 && calls[0].shape == found.host.shape)
    #expect(calls.dropFirst().map(\.line) == found.calls.map(\.line))
  }
}
