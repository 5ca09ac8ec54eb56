namespace Lamina.Management.Protocol;

/// <summary>A request that was not done.</summary>
public sealed class ControlException : Exception
{
    /// <summary>Makes one.</summary>
    /// <param name="code">One of <see cref="ControlErrors"/>.</param>
    /// <param name="message">Why, for people.</param>
    public ControlException(string code, string message)
        : base(message)
    {
        Code = code;
    }

    /// <summary>Makes one.</summary>
    public ControlException(string code, string message, Exception inner)
        : base(message, inner)
    {
        Code = code;
    }

    /// <summary>One of <see cref="ControlErrors"/>.</summary>
    public string Code { get; }
}
