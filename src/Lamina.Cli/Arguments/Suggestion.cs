namespace Lamina.Cli.Arguments;

/// <summary>Finds what somebody probably meant.</summary>
internal static class Suggestion
{
    /// <summary>" Did you mean 'x'?" for the candidate nearest to <paramref name="given"/>, or nothing if none is near.</summary>
    public static string For(string given, IEnumerable<string> candidates)
    {
        string? best = null;
        int bestDistance = int.MaxValue;
        foreach (string candidate in candidates)
        {
            int distance = candidate.StartsWith(given, StringComparison.OrdinalIgnoreCase) && given.TrimStart('-').Length >= 2
                ? 1
                : Distance(given.ToLowerInvariant(), candidate.ToLowerInvariant());
            if (distance < bestDistance)
            {
                best = candidate;
                bestDistance = distance;
            }
        }

        return best != null && bestDistance <= Math.Max(1, best.TrimStart('-').Length / 3) ? $" Did you mean '{best}'?" : "";
    }

    /// <summary>The least number of insertions, deletions, replacements and swaps of neighbours that turn one word into the other.</summary>
    internal static int Distance(string a, string b)
    {
        int[,] d = new int[a.Length + 1, b.Length + 1];
        for (int i = 0; i <= a.Length; i++)
        {
            d[i, 0] = i;
        }

        for (int j = 0; j <= b.Length; j++)
        {
            d[0, j] = j;
        }

        for (int i = 1; i <= a.Length; i++)
        {
            for (int j = 1; j <= b.Length; j++)
            {
                int cost = a[i - 1] == b[j - 1] ? 0 : 1;
                d[i, j] = Math.Min(Math.Min(d[i - 1, j] + 1, d[i, j - 1] + 1), d[i - 1, j - 1] + cost);
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                {
                    d[i, j] = Math.Min(d[i, j], d[i - 2, j - 2] + 1);
                }
            }
        }

        return d[a.Length, b.Length];
    }
}
