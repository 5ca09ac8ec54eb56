namespace Lamina.Machine.Backends;

/// <summary>A range of guest RAM that a device was given, checked: all of it is RAM of one region.</summary>
/// <param name="Address">Guest-physical address.</param>
/// <param name="HostAddress">Where this process sees it. Its content may change at any time while the guest runs.</param>
/// <param name="Length">Length in bytes.</param>
public readonly record struct GuestBuffer(ulong Address, nint HostAddress, uint Length)
{
    /// <summary>The part from <paramref name="offset"/> on, which may not lie behind the end.</summary>
    public GuestBuffer Skip(uint offset) => new(Address + offset, HostAddress + (nint)offset, Length - offset);

    /// <summary>The first <paramref name="length"/> bytes, of which there must be so many.</summary>
    public GuestBuffer Take(uint length) => this with { Length = length };
}
