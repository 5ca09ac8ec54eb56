namespace Lamina.Storage;

/// <summary>An image cannot be opened, made, or is not what it should be. The message is for a person and names the file.</summary>
public sealed class StorageException : Exception
{
    /// <summary>Says what is wrong.</summary>
    public StorageException(string message)
        : base(message)
    {
    }

    /// <summary>Says what is wrong, and why.</summary>
    public StorageException(string message, Exception cause)
        : base(message, cause)
    {
    }
}
