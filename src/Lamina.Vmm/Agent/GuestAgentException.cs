namespace Lamina.Vmm.Agent;

/// <summary>A guest's agent cannot be reached, or does not do what it is asked for.</summary>
public sealed class GuestAgentException : Exception
{
    /// <summary>Makes one; <paramref name="message"/> is for a person.</summary>
    public GuestAgentException(string message)
        : base(message)
    {
    }

    /// <summary>Makes one; <paramref name="message"/> is for a person.</summary>
    public GuestAgentException(string message, Exception inner)
        : base(message, inner)
    {
    }
}
