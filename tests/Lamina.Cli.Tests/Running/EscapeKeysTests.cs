using Lamina.Cli.Running;

namespace Lamina.Cli.Tests.Running;

public sealed class EscapeKeysTests
{
    [Theory]
    [InlineData("ls\r", "ls\r", EscapeRequest.None)]
    [InlineData("\u0003", "\u0003", EscapeRequest.None)]
    [InlineData("a\u0001", "a", EscapeRequest.None)]
    [InlineData("a\u0001xb", "a", EscapeRequest.Quit)]
    [InlineData("a\u0001\u0018", "a", EscapeRequest.Quit)]
    [InlineData("a\u0001hb", "ab", EscapeRequest.Help)]
    [InlineData("a\u0001\u0001b", "a\u0001b", EscapeRequest.None)]
    [InlineData("\u0001\u0001x", "\u0001x", EscapeRequest.None)]
    [InlineData("\u0001?", "", EscapeRequest.Help)]
    [InlineData("\u0001\u0001\u0001x", "\u0001", EscapeRequest.Quit)]
    internal void Divides_keys_between_guest_and_Lamina(string keys, string toGuest, EscapeRequest request)
    {
        // However the terminal cuts what was typed.
        Check([keys]);
        Check([.. keys.Select(k => k.ToString())]);

        void Check(string[] pieces)
        {
            EscapeKeys escape = new();
            List<byte> guest = [];
            EscapeRequest last = EscapeRequest.None;
            foreach (string piece in pieces)
            {
                last = escape.Process([.. piece.Select(c => (byte)c)], guest) is not EscapeRequest.None and var r ? r : last;
                if (last == EscapeRequest.Quit)
                {
                    break;
                }
            }

            Assert.Equal(toGuest.Select(c => (byte)c), guest);
            Assert.Equal(request, last);
        }
    }
}
