namespace Lamina.Machine.Interrupts;

/// <summary>State of one 8259A (Intel 8259A datasheet, order number 231468).</summary>
public struct PicState
{
    /// <summary>Levels of the inputs.</summary>
    public byte Lines;

    /// <summary>IRR.</summary>
    public byte Requests;

    /// <summary>ISR.</summary>
    public byte InService;

    /// <summary>IMR.</summary>
    public byte Mask;

    /// <summary>Vector of input 0.</summary>
    public byte VectorBase;

    /// <summary>ELCR.</summary>
    public byte EdgeLevel;

    /// <summary>The input with the lowest priority.</summary>
    public byte Lowest;

    /// <summary>The next initialization command word, 2 to 4, less 1; 0 for none.</summary>
    public byte Step;

    /// <summary>ICW4 is to come.</summary>
    public bool ExpectIcw4;

    /// <summary>Automatic end of interrupt.</summary>
    public bool AutomaticEnd;

    /// <summary>Rotation at that.</summary>
    public bool RotateAtAutomaticEnd;

    /// <summary>Special fully nested mode.</summary>
    public bool SpecialFullyNested;

    /// <summary>Special mask mode.</summary>
    public bool SpecialMask;

    /// <summary>Reads of the command port give the ISR.</summary>
    public bool ReadInService;

    /// <summary>The next read is a poll.</summary>
    public bool Poll;
}
