namespace Lamina.Machine.Input;

/// <summary>A key goes down or up.</summary>
/// <param name="Code">Its make code in scan code set 1, below 0x80; with <see cref="Extended"/> for a key whose code has the prefix 0xe0.</param>
/// <param name="IsReleased">Whether it goes up.</param>
public readonly record struct KeyStroke(ushort Code, bool IsReleased)
{
    /// <summary>What is added to the code of a key with the prefix 0xe0.</summary>
    public const ushort Extended = 0xe000;

    /// <summary>Whether it is a key that a keyboard can have.</summary>
    public bool IsValid => (Code & ~(Extended | 0x7f)) == 0 && (Code & 0x7f) != 0 && (Code & 0xff00) is 0 or Extended;

    /// <summary>The code without its prefix.</summary>
    public byte Make => (byte)Code;

    /// <summary>Whether it has the prefix.</summary>
    public bool IsExtended => (Code & Extended) != 0;
}
