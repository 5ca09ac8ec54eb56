namespace Lamina.Networking;

/// <summary>A network cannot be had. The message is for a person: what is missing, and how to get it.</summary>
public sealed class NetworkException : Exception
{
    /// <summary>Says what is wrong.</summary>
    public NetworkException(string message)
        : base(message)
    {
    }

    /// <summary>Says what is wrong, and why.</summary>
    public NetworkException(string message, Exception? cause)
        : base(message, cause)
    {
    }
}
