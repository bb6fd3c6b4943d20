import Foundation
import KVMTypes
import Reporting
import Stage2Model
import Stage2Replay
import Testing

/// The words that a schema allows are those that the program may write: an output shows only some of them.
@Suite("Words of the schemas")
struct SchemaWordTests {
  /// The words of a definition of the report's schema.
  private static func words(_ name: String) throws -> [String] {
    let schema = try #require(JSONSchema.all.first { $0.name == "replay" })
    let object = try #require(JSONSerialization.jsonObject(with: Data(schema.text.utf8)) as? [String: Any])
    let definitions = try #require(object["$defs"] as? [String: [String: Any]])
    return try #require(definitions[name]?["enum"] as? [String])
  }

  private static func all<Word: ReportWord>(_: Word.Type) -> [String] { Word.allCases.map(\.word) }

  @Test("Of operations, reasons and bases")
  func operations() throws {
    #expect(try Self.words("Operation") == Self.all(OperationKind.self))
    #expect(try Self.words("KernelOperation") == OperationKind.allCases.map(\.name))
    #expect(try Self.words("Hypercall") == Self.all(Hypercall.self))
    #expect(try Self.words("NoOperationReason") == Self.all(NoOperationReason.self))
    #expect(try Self.words("Basis") == Self.all(Basis.self))
    #expect(try Self.words("BasisOrUnknown") == Self.all(Basis.self) + ["unknown"])
    #expect(try Self.words("MemoryPart") == Self.all(ReplayReport.MemoryParts.Part.self))
  }

  @Test("Of locks and profiles")
  func profiles() throws {
    #expect(try Self.words("LockMode") == Self.all(LockMode.self))
    #expect(try Self.words("FaultLock") == Self.all(Profile.FaultLock.self))
    #expect(try Self.words("ProfileFieldName") == Self.all(ProfileField.ID.self))
    #expect(try Self.words("ProfilePath") == Profile.Path.allCases.map(\.rawValue))
    #expect(try Self.words("KernelEra") == PKVMEra.allCases.map(\.name))
  }

  @Test("Of divergences and markers")
  func divergences() throws {
    #expect(try Self.words("DivergenceRule") == Self.all(DivergenceRule.self))
    #expect(try Self.words("DivergenceException") == Self.all(DivergenceException.self))
    #expect(try Self.words("DivergenceVerdict") == Self.all(DivergenceVerdict.self))
    #expect(try Self.words("RegionEventKind") == Self.all(RegionEvent.Kind.self))
    #expect(try Self.words("GuestAccess") == Self.all(RegionEvent.Access.self))
    #expect(try Self.words("KVMEffect") == Self.all(RegionEvent.Effect.self))
    #expect(try Self.words("MarkerFigureKind") == Self.all(MarkerFigure.Kind.self))
    #expect(try Self.words("MarkerVerdict") == Self.all(MarkerFigure.Verdict.self))
    #expect(
      try Self.words("NotKnownSubject") == ReplayReport.NotKnownEntry.Subject.allCases.map(\.rawValue))
    #expect(try Self.words("MarkerDoubt") == Self.all(MarkerDoubt.self))
  }
}
