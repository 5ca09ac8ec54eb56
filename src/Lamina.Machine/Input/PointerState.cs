namespace Lamina.Machine.Input;

/// <summary>Where a pointer is, and which of its buttons are down.</summary>
/// <param name="X">From the left edge (0) to the right (<see cref="Maximum"/>).</param>
/// <param name="Y">From the upper edge (0) to the lower (<see cref="Maximum"/>).</param>
/// <param name="Buttons">Bit 0 is the left, 1 the right, 2 the middle button.</param>
public readonly record struct PointerState(ushort X, ushort Y, byte Buttons)
{
    /// <summary>The right and the lower edge.</summary>
    public const ushort Maximum = 32767;
}
