using Lamina.Cli.Arguments;

namespace Lamina.Cli.Tests.Arguments;

public sealed class SuggestionTests
{
    private static readonly string[] Options = ["--memory", "--cpus", "--cpu", "--kernel"];

    [Theory]
    [InlineData("--memry", "--memory")]
    [InlineData("--mem", "--memory")]
    [InlineData("--kernal", "--kernel")]
    [InlineData("--cpsu", "--cpus")]
    public void Finds_what_is_near(string given, string meant) => Assert.Equal($" Did you mean '{meant}'?", Suggestion.For(given, Options));

    [Theory]
    [InlineData("--frobnicate")]
    [InlineData("-z")]
    [InlineData("")]
    public void Is_silent_when_nothing_is_near(string given) => Assert.Equal("", Suggestion.For(given, Options));

    [Theory]
    [InlineData("", "abc", 3)]
    [InlineData("abc", "abc", 0)]
    [InlineData("abc", "acb", 1)]
    [InlineData("kitten", "sitting", 3)]
    public void Measures_distance(string a, string b, int distance) => Assert.Equal(distance, Suggestion.Distance(a, b));
}
