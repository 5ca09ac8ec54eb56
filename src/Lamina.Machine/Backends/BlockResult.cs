namespace Lamina.Machine.Backends;

/// <summary>How a block request ended.</summary>
public enum BlockResult
{
    /// <summary>As asked.</summary>
    Done,

    /// <summary>The host could not read or write, or has no room left. How much was transferred is not known.</summary>
    Failed,

    /// <summary>The back end cannot do this.</summary>
    Unsupported,
}
