namespace Lamina.Machine.Backends;

/// <summary>What a block back end can be asked to do.</summary>
public enum BlockOperation
{
    /// <summary>Reads into the buffers.</summary>
    Read,

    /// <summary>Writes the buffers.</summary>
    Write,

    /// <summary>Makes everything that was written before, and completed, durable.</summary>
    Flush,

    /// <summary>Says that the content of a range is of no interest any more.</summary>
    Discard,

    /// <summary>Makes a range read as zeroes.</summary>
    WriteZeroes,
}
