namespace Lamina.Machine.AddressSpaces;

/// <summary>
/// A range of device registers that can be mapped into an <see cref="AddressSpace"/>. Called on vCPU threads, several at once;
/// the device does its own locking. Never throws for anything that a guest can cause.
/// </summary>
public interface IRegisterWindow
{
    /// <summary>Reads <c>data.Length</c> (1, 2, 4 or 8) bytes at <paramref name="offset"/> from the start of the window, little-endian.</summary>
    AccessResult Read(ulong offset, Span<byte> data);

    /// <summary>Writes <c>data.Length</c> (1, 2, 4 or 8) bytes at <paramref name="offset"/> from the start of the window, little-endian.</summary>
    AccessResult Write(ulong offset, ReadOnlySpan<byte> data);
}
