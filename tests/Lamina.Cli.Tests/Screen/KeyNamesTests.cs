using Lamina.Cli.Screen;
using Lamina.Machine.Input;

namespace Lamina.Cli.Tests.Screen;

/// <summary>Keys by their names, and texts as they are typed.</summary>
public sealed class KeyNamesTests
{
    [Theory]
    [InlineData("CTRL+ALT+DEL", "1d 38 e053 !e053 !38 !1d")]
    [InlineData("ctrl-alt-delete", "1d 38 e053 !e053 !38 !1d")]
    [InlineData("KEY_LEFTCTRL KEY_LEFTALT KEY_DELETE", "1d 38 e053 !e053 !38 !1d")]
    [InlineData("ret", "1c !1c")]
    [InlineData("kp_enter", "e01c !e01c")]
    [InlineData("f12", "58 !58")]
    [InlineData("F10", "44 !44")]
    [InlineData("q", "10 !10")]
    [InlineData("a", "1e !1e")]
    [InlineData("M", "32 !32")]
    [InlineData("0", "b !b")]
    [InlineData("kp_0", "52 !52")]
    [InlineData("alt-sysrq-b", "38 e037 30 !30 !e037 !38")]
    public void KeysGoDownAndUp(string keys, string expected) => Assert.Equal(expected, Describe(KeyNames.ParseHeld(keys)));

    [Theory]
    [InlineData("")]
    [InlineData("+")]
    [InlineData("ctrl+nothing")]
    [InlineData("a b c d e f g h i")]
    public void OthersAreRefused(string keys) => Assert.Throws<FormatException>(() => KeyNames.ParseHeld(keys));

    [Theory]
    [InlineData("a", "1e !1e")]
    [InlineData("A\n", "2a 1e !1e !2a 1c !1c")]
    [InlineData("~/x", "2a 29 !29 !2a 35 !35 2d !2d")]
    [InlineData("1!\t \e", "2 !2 2a 2 !2 !2a f !f 39 !39 1 !1")]
    [InlineData("\r\n", "1c !1c")]
    public void TextIsTyped(string text, string expected) => Assert.Equal(expected, Describe(UsKeyboard.Parse(text)));

    [Fact]
    public void EachPrintableCharacterHasAKeyOfItsOwn()
    {
        string all = new([.. Enumerable.Range(' ', 95).Select(static c => (char)c)]);
        Assert.Equal(95, all.Select(static c => Describe(UsKeyboard.Parse(c.ToString()))).Distinct().Count());
        Assert.All(UsKeyboard.Parse(all), static s => Assert.True(s.IsValid));
    }

    [Fact]
    public void CharactersWithoutAKeyAreNamed()
    {
        Assert.Contains("U+00E4", Assert.Throws<FormatException>(() => UsKeyboard.Parse("\u00e4")).Message, StringComparison.Ordinal);
        Assert.Throws<FormatException>(() => UsKeyboard.Parse("\0"));
        Assert.Throws<FormatException>(() => UsKeyboard.Parse(new string('a', UsKeyboard.MaximumLength + 1)));
    }

    private static string Describe(IEnumerable<KeyStroke> strokes) => string.Join(' ', strokes.Select(static s => $"{(s.IsReleased ? "!" : "")}{s.Code:x}"));
}
