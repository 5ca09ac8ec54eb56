namespace Lamina.Machine.AddressSpaces;

/// <summary>One named range in an <see cref="AddressSpace"/>. Changed only through it.</summary>
public sealed class AddressMapping
{
    internal AddressMapping(string name, ulong address, ulong length, IRegisterWindow window, bool enabled)
    {
        Name = name;
        Address = address;
        Length = length;
        Window = window;
        Enabled = enabled;
    }

    /// <summary>What the range is, for listings and messages.</summary>
    public string Name { get; }

    /// <summary>First address.</summary>
    public ulong Address { get; internal set; }

    /// <summary>Length in bytes.</summary>
    public ulong Length { get; }

    /// <summary>Who answers.</summary>
    public IRegisterWindow Window { get; }

    /// <summary>Whether it answers at all.</summary>
    public bool Enabled { get; internal set; }
}
