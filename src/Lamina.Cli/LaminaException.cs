namespace Lamina.Cli;

/// <summary>Lamina cannot do what was asked. The message is one line for a person: what is wrong, which value, what would be accepted.</summary>
internal sealed class LaminaException : Exception
{
    public LaminaException(string message)
        : base(message)
    {
    }

    public LaminaException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
