namespace Lamina.Machine.Devices;

/// <summary>Gives a device's state back. Fields that an older version did not write are absent; those of a newer version are simply not asked for.</summary>
public interface IStateReader
{
    /// <summary>Reads an integer field.</summary>
    /// <returns><c>false</c> if it is absent or not an integer.</returns>
    bool TryRead(ushort field, out ulong value);

    /// <summary>Reads a field of bytes into <paramref name="destination"/>.</summary>
    /// <returns>Its length, or -1 if it is absent, not bytes, or longer than the destination.</returns>
    int TryRead(ushort field, Span<byte> destination);
}
