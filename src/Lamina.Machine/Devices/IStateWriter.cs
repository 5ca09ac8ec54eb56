namespace Lamina.Machine.Devices;

/// <summary>Takes a device's state as numbered fields. A field number, once used, keeps its meaning; new fields take new numbers.</summary>
public interface IStateWriter
{
    /// <summary>Writes an integer field.</summary>
    void Write(ushort field, ulong value);

    /// <summary>Writes a field of bytes.</summary>
    void Write(ushort field, ReadOnlySpan<byte> value);
}
