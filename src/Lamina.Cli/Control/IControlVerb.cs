namespace Lamina.Cli.Control;

/// <summary>Something that a machine can be asked for through its control socket.</summary>
internal interface IControlVerb
{
    /// <summary>Its name in requests.</summary>
    string Name { get; }

    /// <summary>
    /// Does it, on a thread of the connection's own, and answers through <paramref name="exchange"/>, once: with a result, or by opening a stream. It may wait.
    /// </summary>
    /// <exception cref="Lamina.Management.Protocol.ControlException">It cannot be done, and nothing was answered.</exception>
    void Execute(ControlExchange exchange);
}
