namespace Lamina.Boot;

/// <summary>The guest cannot be started as asked. The message is one line for a person: what is wrong, and what would be accepted.</summary>
public sealed class BootException : Exception
{
    /// <summary>Makes one.</summary>
    public BootException(string message)
        : base(message)
    {
    }

    /// <summary>Makes one with its cause.</summary>
    public BootException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
