namespace Lamina.Cli.Running;

/// <summary>Finds the keys that are for Lamina among those for the guest: Ctrl-A and one more.</summary>
internal sealed class EscapeKeys
{
    /// <summary>Ctrl-A.</summary>
    public const byte Prefix = 1;

    /// <summary>What Ctrl-A h shows.</summary>
    public static IReadOnlyList<string> Help { get; } =
    [
        "Ctrl-A x       end the machine at once",
        "Ctrl-A h       show these keys",
        "Ctrl-A Ctrl-A  send Ctrl-A to the guest",
    ];

    private bool _prefixSeen;

    /// <summary>Takes keys.</summary>
    /// <param name="keys">What was typed.</param>
    /// <param name="toGuest">Is given the keys for the guest.</param>
    /// <returns>What Lamina is asked to do. Keys after <see cref="EscapeRequest.Quit"/> are dropped.</returns>
    public EscapeRequest Process(ReadOnlySpan<byte> keys, List<byte> toGuest)
    {
        EscapeRequest request = EscapeRequest.None;
        foreach (byte key in keys)
        {
            if (!_prefixSeen)
            {
                _prefixSeen = key == Prefix;
                if (!_prefixSeen)
                {
                    toGuest.Add(key);
                }

                continue;
            }

            _prefixSeen = false;
            switch (key)
            {
                case Prefix:
                    toGuest.Add(Prefix);
                    break;
                case (byte)'x' or (byte)'X' or 0x18:
                    return EscapeRequest.Quit;
                default:
                    // A person who pressed something else looks for these keys.
                    request = EscapeRequest.Help;
                    break;
            }
        }

        return request;
    }
}
